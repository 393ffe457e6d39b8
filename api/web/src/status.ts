/** Describes the state of a job in plain words: for the status line, for screen readers, for the tab. Pure. */

import type { Job } from './client/transcript.ts'
import type { Phase, Session } from './session.ts'
import { countWords } from './words.ts'
import { writtenIn } from './written.ts'

const LEAST_SUGGESTIONS = 3
const MOST_SUGGESTIONS = 5

/** Returns the name of the agent that is asked. */
export const modelName = (isSandbox: boolean): string => (isSandbox ? 'the sandbox' : 'Claude')

export const statusWords = (phase: Phase, job: Job): string => {
  switch (phase) {
    case 'idle':
    case 'error':
      return ''
    case 'creating':
      return 'Sending your request…'
    case 'connecting':
      return job.queuePosition === null ? 'Connecting…' : 'Waiting in line'
    case 'complete':
      return `${countWords(job.suggestions?.length ?? 0, 'suggestion')}${job.answer?.isPartial === true ? ', cut short' : ''}`
    case 'streaming':
      return workWords(job)
  }
}

const workWords = (job: Job): string => {
  const name = modelName(job.started?.model === 'sandbox')
  if (job.waiting !== null) {
    return `Waiting for ${name}`
  }
  const whole = job.suggestions?.length ?? 0
  const { draft } = writtenIn(job.text ?? '', whole)
  if (draft !== null) {
    return `Writing suggestion ${whole + 1} of ${goalWords(whole + 1)}`
  }
  if (whole > 0) {
    return whole < LEAST_SUGGESTIONS ? `Thinking about suggestion ${whole + 1}` : 'Finishing'
  }
  if (job.text !== null) {
    return 'Describing the page as it is'
  }
  return job.tools.length === 0 ? `Waiting for ${name}` : `Looking at the project${filesWords(job)}`
}

const goalWords = (number: number): string =>
  number < MOST_SUGGESTIONS ? `${Math.max(LEAST_SUGGESTIONS, number)} to ${MOST_SUGGESTIONS}` : `${number}`

const filesWords = (job: Job): string => {
  const files = new Set(job.tools.filter(({ name }) => name === 'Read').map(({ input }) => input['file_path']))
  return files.size === 0 ? '' : `: ${countWords(files.size, 'file')}`
}

/** Returns what screen readers are told: that something has changed, never how far along it is. */
export const announcementOf = ({ phase, job, connection }: Session): string => {
  const whole = job.suggestions ?? []
  if (phase === 'complete') {
    return `Done: ${statusWords(phase, job)}.`
  }
  if (phase === 'connecting' && job.queuePosition !== null) {
    return 'Your request is waiting in line.'
  }
  if (connection.state === 'waiting' && phase !== 'error' && phase !== 'idle' && phase !== 'creating') {
    return 'The connection was lost. Reconnecting.'
  }
  if (phase !== 'streaming') {
    return statusWords(phase, job)
  }
  if (job.waiting !== null) {
    return 'The model is busy. Your request goes on by itself.'
  }
  const last = whole.at(-1)
  if (last !== undefined) {
    return `Suggestion ${whole.length} is there: ${last.title.replaceAll('`', '')}.`
  }
  return job.text === null && job.tools.length > 0 ? 'Looking at the project.' : workBeginsWords(job)
}

const workBeginsWords = (job: Job): string =>
  job.text === null ? `Waiting for ${modelName(job.started?.model === 'sandbox')}.` : 'Writing the suggestions.'

const NAME = 'Feature planner'

/** Returns the title of the tab. */
export const tabTitle = ({ phase, job }: Session, page: string | null): string => {
  const about = page === null ? NAME : `${page} · ${NAME}`
  switch (phase) {
    case 'idle':
      return NAME
    case 'complete':
      return `✓ ${statusWords(phase, job)} · ${about}`
    case 'error':
      return `${job.status === 'cancelled' ? 'Cancelled' : '! Not finished'} · ${about}`
    default:
      return `… ${statusWords(phase, job).replace('…', '')} · ${about}`
  }
}
