import { describe, expect, it } from 'vitest'
import { activityOf } from '../src/activity.ts'
import { EMPTY_JOB, fold } from '../src/client/transcript.ts'
import type { JobEvent } from '../src/client/types.gen.ts'

const note = (text: string): JobEvent => ({ event: 'note', data: { text, timestamp: 1 } })
const read = (path: string): JobEvent => ({ event: 'tool', data: { name: 'Read', input: { file_path: path }, timestamp: 1 } })
const wordsAfter = (...events: JobEvent[]): string[] =>
  activityOf(events.reduce((job, event) => fold(job, event), EMPTY_JOB)).map(({ words }) => words)

describe('activityOf', () => {
  it('lists notes and tool calls in the order in which they came', () => {
    expect(wordsAfter(note('First.'), read('a'), read('b'), note('Then.'), note('And.'), read('c'))).toEqual([
      'First.',
      'Reading a',
      'Reading b',
      'Then.',
      'And.',
      'Reading c',
    ])
  })

  it('joins a sentence that came in several notes', () => {
    expect(wordsAfter(note('I look where…'), note('the payment step…'), note('is.'), note('Next.'))).toEqual([
      'I look where the payment step is.',
      'Next.',
    ])
  })

  it('does not join notes that have a tool call between them', () => {
    expect(wordsAfter(note('I look…'), read('a'), note('More.'))).toEqual(['I look…', 'Reading a', 'More.'])
  })
})
