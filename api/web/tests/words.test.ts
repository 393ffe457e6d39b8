import { describe, expect, it } from 'vitest'
import { ApiError } from '../src/api.ts'
import { allMarkdown, suggestionMarkdown } from '../src/markdown.ts'
import { progressOf } from '../src/progress.ts'
import { EMPTY_JOB } from '../src/transcript.ts'
import { troubleOf, troubleOfJob } from '../src/trouble.ts'
import { fieldErrors, lengthProblem } from '../src/validation.ts'
import { durationWords, queueWords, tokenWords, toolWords } from '../src/words.ts'

const SUGGESTION = {
  title: 'Undo\ninstead',
  rationale: 'People err.',
  description: 'A way back.',
  implementationConsiderations: ['Delay it', 'Say so\naloud'],
}

describe('Markdown', () => {
  it('is made of one suggestion', () => {
    expect(suggestionMarkdown(SUGGESTION)).toBe(
      [
        '## Undo instead',
        '',
        '**Why:** People err.',
        '',
        'A way back.',
        '',
        '**Implementation considerations**',
        '',
        '- Delay it',
        '- Say so',
        '  aloud',
        '',
      ].join('\n'),
    )
  })

  it('leaves out what is not there', () => {
    const bare = suggestionMarkdown({ ...SUGGESTION, implementationConsiderations: [] })
    expect(bare).toBe('## Undo instead\n\n**Why:** People err.\n\nA way back.\n')
  })

  it('is made of all of them, under one heading', () => {
    const text = allMarkdown('Checkout', [SUGGESTION, { ...SUGGESTION, title: 'Two' }])
    expect(text.startsWith('# Feature suggestions: Checkout\n\n## Undo instead\n')).toBe(true)
    expect(text).toContain('  aloud\n\n## Two\n')
    expect(allMarkdown(null, [])).toBe('# Feature suggestions\n')
  })
})

describe('progress', () => {
  it('is the share of a usual answer, at most 95 until the end', () => {
    const percent = (totalLength: number) => progressOf('streaming', { ...EMPTY_JOB, totalLength })
    expect([0, 19, 20, 999, 1_899, 1_900, 30_000].map(percent)).toEqual([0, 0, 1, 49, 94, 95, 95])
    expect(progressOf('complete', EMPTY_JOB)).toBe(100)
  })
})

describe('words', () => {
  it('say what the agent looks at', () => {
    const said = (name: 'Read' | 'Grep' | 'Glob', input: Record<string, unknown>) =>
      Object.values(toolWords({ name, input })).join(' ')
    expect(said('Read', { file_path: 'api/delivery/hub.py' })).toBe('Reading api/delivery/hub.py')
    expect(said('Grep', { pattern: 'def hub', path: 'api' })).toBe('Searching for def hub in api')
    expect(said('Glob', { pattern: '**/*.py' })).toBe('Listing **/*.py')
    expect(said('Read', {})).toBe('Reading …')
  })

  it('say where a job stands that waits', () => {
    expect(queueWords(EMPTY_JOB)).toBeNull()
    expect(queueWords({ ...EMPTY_JOB, queuePosition: 1, workers: 2 })).toMatch(/next/)
    expect(queueWords({ ...EMPTY_JOB, queuePosition: 4, workers: 2 })).toMatch(/number 4/)
    expect(queueWords({ ...EMPTY_JOB, queuePosition: 1, workers: 0 })).toMatch(/No worker/)
  })

  it('say what it took', () => {
    const usage = { inputTokens: 1_200, outputTokens: 34, cacheReadTokens: 0, cacheCreationTokens: 0, totalTokens: 1_234 }
    expect(tokenWords(usage)).toBe('1,234 tokens (1,200 in, 34 out)')
    expect([durationWords(8_449), durationWords(61_200)]).toEqual(['8.4 s', '61 s'])
  })
})

describe('what is wrong with a field', () => {
  it('is counted in code points, as the server counts', () => {
    const bounds = { least: 3, greatest: 4 }
    expect(lengthProblem('🧑‍💻', bounds)).toBeNull()
    expect(lengthProblem('🙂🙂', bounds)).toBe('must have at least 3 characters')
    expect(lengthProblem('🙂🙂🙂🙂🙂', bounds)).toBe('must have at most 4 characters')
    expect(lengthProblem('', bounds)).toBe('is required')
    expect(lengthProblem('', { least: 0, greatest: 4 })).toBeNull()
  })

  it('is said as a sentence with the name of the field', () => {
    expect(fieldErrors({ name: 'Name' }, [{ field: 'name', message: 'is required' }])).toEqual({ name: 'Name is required.' })
  })
})

describe('trouble', () => {
  it('of the network is told apart from an answer', () => {
    expect(troubleOf(new TypeError('Failed to fetch')).kind).toBe('network')
    expect(troubleOf(new ApiError(503, 'Full.', [], 2_000))).toMatchObject({ kind: 'server', retryAfterMs: 2_000 })
  })

  it.each([
    [400, 'missing', false],
    [401, 'signed-out', false],
    [403, 'foreign', false],
    [404, 'missing', true],
    [413, 'server', false],
    [422, 'fields', false],
    [429, 'limited', true],
    [500, 'server', true],
  ])('of status %i is %s', (status, kind, isRetryable) => {
    expect(troubleOf(new ApiError(status, 'Because.'))).toMatchObject({ kind, isRetryable })
  })

  it('of a job that expired is told as such', () => {
    expect(troubleOfJob({ message: 'Expired.', code: 'EXPIRED', retryable: true }).title).toMatch(/expired/)
  })
})
