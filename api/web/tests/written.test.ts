import { describe, expect, it } from 'vitest'
import { EMPTY_JOB, fold } from '../src/client/transcript.ts'
import { progressOf } from '../src/progress.ts'
import { writtenIn } from '../src/written.ts'
import { received, recordings } from './golden.ts'

const WHOLE = 'About it.\n\n1. One\nWhy: so\n\nDo it.\n\nReally.\n\n- a\n- b'

describe('the suggestion that is being written', () => {
  it('is read out of the text, however much there is of it', () => {
    expect(writtenIn('', 0)).toEqual({ context: '', draft: null })
    expect(writtenIn('About i', 0)).toEqual({ context: 'About i', draft: null })
    expect(writtenIn(WHOLE.slice(0, 17), 0)).toMatchObject({ context: 'About it.', draft: { title: 'One', rationale: '' } })
    expect(writtenIn(WHOLE, 0).draft).toEqual({
      title: 'One',
      rationale: 'so',
      description: 'Do it.\n\nReally.',
      implementationConsiderations: ['a', 'b'],
      files: [],
    })
  })

  it('is the one after those that are whole', () => {
    expect(writtenIn(WHOLE, 1)).toEqual({ context: 'About it.', draft: null })
    expect(writtenIn(`${WHOLE}\n\n2. Tw`, 1).draft?.title).toBe('Tw')
    // A suggestion that is whole may come before the last of its text.
    expect(writtenIn(WHOLE.slice(0, 20), 1).draft).toBeNull()
  })

  it('needs no context before it', () => {
    expect(writtenIn('1. One\nWhy: so', 0)).toMatchObject({ context: '', draft: { title: 'One', rationale: 'so' } })
  })

  it.each(recordings)('is in the end what came as whole, in %s', (recording) => {
    let job = EMPTY_JOB
    for (const { event, id } of received(recording)) {
      if (event.event === 'suggestion') {
        const { draft } = writtenIn(job.text ?? '', job.suggestions?.length ?? 0)
        // The last of its text may still be on its way.
        expect(event.data.suggestion.title.startsWith(draft?.title ?? '')).toBe(true)
        expect(event.data.suggestion.description.startsWith(draft?.description ?? '')).toBe(true)
      }
      job = fold(job, event, id)
    }
    const { draft } = writtenIn(job.text ?? '', job.suggestions?.length ?? 0)
    expect(draft !== null).toBe(job.isPartial) // an answer that was cut ends within a suggestion
  })
})

describe('progress', () => {
  it('never runs back, and never ahead of what is there', () => {
    const usual = 60_000
    const values = [0, 1, 2, 3, 4, 5, 6].flatMap((whole) =>
      [0, 1_000, 10_000, 1_000_000].map((ms) => progressOf(whole, true, ms, usual)),
    )
    expect(values).toEqual(values.toSorted((a, b) => a - b))
    expect(values.at(-1)).toBeLessThan(100)
    // Half-way through an answer of five.
    expect(progressOf(2, true, 1_000_000, usual)).toBeLessThan(66)
  })

  it('moves while files are read, but not far', () => {
    expect(progressOf(0, false, 0, 60_000)).toBe(0)
    expect(progressOf(0, false, 6_000, 60_000)).toBeGreaterThan(4)
    expect(progressOf(0, false, 1_000_000, 60_000)).toBeLessThan(16)
  })
})
