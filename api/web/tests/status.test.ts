import { describe, expect, it } from 'vitest'
import { EMPTY_JOB, type Job } from '../src/client/transcript.ts'
import type { Suggestion } from '../src/client/types.gen.ts'
import { toolSentence } from '../src/plain-tool.ts'
import { IDLE, type Phase, type Session } from '../src/session.ts'
import { announcementOf, statusWords, tabTitle } from '../src/status.ts'

const STARTED = { attempt: 1, model: 'claude-sonnet-5-5', agent: 'default', cause: null, turnsKept: 0, timestamp: 1 }
const SUGGESTION: Suggestion = { title: 'Undo `it`', rationale: '', description: '', implementationConsiderations: [], files: [] }
const WAIT = { reason: 'overloaded', until: 9 } as const

const working = (changes: Partial<Job>): Job => ({ ...EMPTY_JOB, started: STARTED, ...changes })
const read = (file: string) => ({ name: 'Read', input: { file_path: file } }) as const

describe('the status', () => {
  it.each<[Phase, Job, string]>([
    ['creating', EMPTY_JOB, 'Sending your request…'],
    ['connecting', EMPTY_JOB, 'Connecting…'],
    ['connecting', { ...EMPTY_JOB, queuePosition: 2 }, 'Waiting in line'],
    ['streaming', working({}), 'Waiting for Claude'],
    ['streaming', working({ started: { ...STARTED, model: 'sandbox' } }), 'Waiting for the sandbox'],
    ['streaming', working({ tools: [{ name: 'Grep', input: {} }] }), 'Looking at the project'],
    ['streaming', working({ tools: [read('a'), read('b'), read('a')] }), 'Looking at the project: 2 files'],
    ['streaming', working({ text: 'The page' }), 'Describing the page as it is'],
    ['streaming', working({ text: '1. U' }), 'Writing suggestion 1 of 3 to 5'],
    ['streaming', working({ text: '1. U', suggestions: [SUGGESTION] }), 'Thinking about suggestion 2'],
    ['streaming', working({ text: '1. U\n\n2. V\n\n3. W\n\n4. X', suggestions: [SUGGESTION, SUGGESTION, SUGGESTION] }), 'Writing suggestion 4 of 4 to 5'],
    ['streaming', working({ text: '1. U', suggestions: [SUGGESTION, SUGGESTION, SUGGESTION] }), 'Finishing'],
    ['streaming', working({ text: '1. U', waiting: WAIT }), 'Waiting for Claude'],
    ['complete', working({ suggestions: [SUGGESTION] }), '1 suggestion'],
  ])('of %s is said in plain words', (phase, job, words) => {
    expect(statusWords(phase, job)).toBe(words)
  })

  it('says when an answer was cut short', () => {
    const answer = { isPartial: true } as Job['answer']
    expect(statusWords('complete', working({ suggestions: [SUGGESTION], answer }))).toBe('1 suggestion, cut short')
  })

  it('is said aloud when something is there, not with every word', () => {
    const session = (job: Job): Session => ({ ...IDLE, phase: 'streaming', connection: { state: 'open' }, job })
    const said = [
      working({}),
      working({ tools: [read('a')] }),
      working({ tools: [read('a'), read('b')] }),
      working({ tools: [read('a')], text: '1. Un' }),
      working({ tools: [read('a')], text: '1. Undo it, and' }),
      working({ text: '1. Undo it, and', suggestions: [SUGGESTION] }),
      working({ text: '1. Undo it, and\n\n2. M', suggestions: [SUGGESTION] }),
    ].map((job) => announcementOf(session(job)))
    expect([...new Set(said)]).toEqual([
      'Waiting for Claude.',
      'Looking at the project.',
      'Writing the suggestions.',
      'Suggestion 1 is there: Undo it.',
    ])
    expect(announcementOf({ ...IDLE, phase: 'complete', job: working({ suggestions: [SUGGESTION] }) })).toBe('Done: 1 suggestion.')
  })

  it('is in the title of the tab', () => {
    expect(tabTitle(IDLE, null)).toBe('Feature planner')
    expect(tabTitle({ ...IDLE, phase: 'streaming', job: working({}) }, 'Checkout')).toBe('… Waiting for Claude · Checkout · Feature planner')
    expect(tabTitle({ ...IDLE, phase: 'complete', job: working({ suggestions: [SUGGESTION] }) }, 'Checkout')).toMatch(/^✓ 1 suggestion · Checkout/u)
    expect(tabTitle({ ...IDLE, phase: 'error' }, 'Checkout')).toMatch(/^! Not finished/u)
  })
})

describe('what the agent looks at', () => {
  it.each([
    ['Read', { file_path: 'api/hub.py' }, 'Reading api/hub.py'],
    ['Read', {}, 'Reading a file'],
    ['Grep', { pattern: 'checkout' }, 'Searching for “checkout”'],
    ['Grep', { pattern: 'def\\s+(hub|feed)\\b', path: 'api' }, 'Searching for “def”, “hub” and “feed” in api'],
    ['Grep', { pattern: '[Cc]heckout.*', path: '.' }, 'Searching for “checkout”'],
    ['Grep', { pattern: '^\\s*$' }, 'Searching the files'],
    ['Grep', { pattern: 'one|two|three|four' }, 'Searching for “one”, “two”, “three” and more'],
    ['Glob', { pattern: '**/*' }, 'Looking for files'],
    ['Glob', { pattern: '**/*.py' }, 'Looking for .py files'],
    ['Glob', { pattern: 'web/**/*[Cc]heckout*.{ts,tsx}' }, 'Looking for .ts and .tsx files named “checkout”'],
    ['Glob', { pattern: '*', path: 'web' }, 'Looking for files in web'],
  ] as const)('is said of %s %o without a raw pattern', (name, input, sentence) => {
    expect(toolSentence({ name, input })).toBe(sentence)
  })
})
