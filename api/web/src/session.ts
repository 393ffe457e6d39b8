/** The state machine behind the hook: one job on the screen, from the form to its end. Pure. */

import { EMPTY_JOB, fold, type Job } from './client/transcript.ts'
import type { SuggestFeatureRequest, JobEvent } from './client/types.gen.ts'
import type { Connection } from './client/watch.ts'
import { CANCELLED, type Trouble, troubleOfJob, UNSEEN } from './trouble.ts'

/** idle → creating → connecting → streaming → complete | error; a new attempt goes back to connecting. */
export type Phase = 'idle' | 'creating' | 'connecting' | 'streaming' | 'complete' | 'error'

export interface Session {
  phase: Phase
  jobId: string | null
  /** What was asked for, where this browser knows it. */
  input: SuggestFeatureRequest | null
  job: Job
  connection: Connection
  trouble: Trouble | null
  /** Whether the search for this browser's own copy of the job is over; before that the server is not asked. */
  isKeptChecked: boolean
  /** Shown from this browser's own copy. */
  isFromKept: boolean
  /** Rises when the stream is to be opened anew. */
  watchNumber: number
  /** When something last began: the request, the attempt, or the step after a whole suggestion; by this computer's clock. */
  beganAt: number | null
  stepBeganAt: number | null
  /** When the last event of the job came, by this computer's clock. */
  heardAt: number | null
  /** From when the attempt's time limit counts, waits for the provider added; null while nothing is being written. */
  countedFrom: number | null
  /** How far the server's clock was ahead of ours when its first event reached this page. */
  clockOffsetMs: number
}

export type Action =
  | { type: 'submitted'; input: SuggestFeatureRequest; at: number }
  | { type: 'created'; jobId: string }
  | { type: 'opened'; jobId: string }
  | { type: 'kept'; jobId: string; input: SuggestFeatureRequest; job: Job }
  | { type: 'not-kept'; jobId: string; input: SuggestFeatureRequest | null }
  | { type: 'watch-again' }
  | { type: 'connection'; connection: Connection }
  | { type: 'event'; event: JobEvent; eventId: string | null; receivedAt: number }
  | { type: 'failed'; trouble: Trouble }
  | { type: 'left' }

export const IDLE: Session = {
  phase: 'idle',
  jobId: null,
  input: null,
  job: EMPTY_JOB,
  connection: { state: 'connecting' },
  trouble: null,
  isKeptChecked: true,
  isFromKept: false,
  watchNumber: 0,
  beganAt: null,
  stepBeganAt: null,
  heardAt: null,
  countedFrom: null,
  clockOffsetMs: 0,
}

export const step = (session: Session, action: Action): Session => {
  switch (action.type) {
    case 'submitted':
      return { ...IDLE, phase: 'creating', input: action.input, beganAt: action.at }
    case 'created':
      return session.phase === 'creating' ? { ...session, phase: 'connecting', jobId: action.jobId } : session
    case 'opened':
      return opened(session, action.jobId)
    case 'kept':
      return isAwaited(session, action.jobId) ? restored(session, action.input, action.job) : session
    case 'not-kept':
      return isAwaited(session, action.jobId) ? { ...session, isKeptChecked: true, input: action.input ?? session.input } : session
    case 'watch-again':
      return isUnderWay(session) ? { ...session, watchNumber: session.watchNumber + 1 } : session
    case 'connection':
      return isUnderWay(session) ? { ...session, connection: action.connection } : session
    case 'event':
      return isUnderWay(session) ? afterEvent(session, action) : session
    case 'failed':
      return { ...session, phase: 'error', trouble: troubleFor(session, action.trouble), countedFrom: null }
    case 'left':
      return IDLE
  }
}

/** Whether the end is still to come, so that nothing else can be asked for. */
export const isUnderWay = ({ phase }: Session): boolean =>
  phase === 'creating' || phase === 'connecting' || phase === 'streaming'

/** A job that is being watched already goes on. */
const opened = (session: Session, jobId: string): Session => {
  if (jobId !== session.jobId) {
    return { ...IDLE, phase: 'connecting', jobId, isKeptChecked: false }
  }
  if (isUnderWay(session)) {
    return session
  }
  return { ...IDLE, phase: 'connecting', jobId, input: session.input, watchNumber: session.watchNumber + 1 }
}

const isAwaited = (session: Session, jobId: string): boolean => session.jobId === jobId && !session.isKeptChecked

/** A job that this browser has kept, as it ended. */
const restored = (session: Session, input: SuggestFeatureRequest, job: Job): Session => ({
  ...session,
  phase: job.answer === null ? 'error' : 'complete',
  input,
  job,
  isKeptChecked: true,
  isFromKept: true,
  trouble: troubleIn(job),
})

type Received = Extract<Action, { type: 'event' }>

const afterEvent = (session: Session, { event, eventId, receivedAt }: Received): Session => {
  const job = fold(session.job, event, eventId)
  // The first one stands: a clock that is put right meanwhile must not move what has begun.
  const isFirst = event.event === 'connected' && session.job === EMPTY_JOB
  const clockOffsetMs = isFirst ? event.data.timestamp - receivedAt : session.clockOffsetMs
  const phase = phaseAfter(event, job)
  const isOver = phase === 'complete' || phase === 'error'
  const isBegin = event.event === 'started'
  const isStep = isBegin || event.event === 'suggestion'
  return {
    ...session,
    job,
    phase,
    heardAt: receivedAt,
    clockOffsetMs,
    beganAt: isBegin ? event.data.timestamp - clockOffsetMs : session.beganAt,
    stepBeganAt: isStep ? event.data.timestamp - clockOffsetMs : session.stepBeganAt,
    countedFrom: phase === 'streaming' ? countedFrom(job, clockOffsetMs) : null,
    trouble: isOver ? troubleIn(job) : null,
  }
}

/** No time is counted while the job waits for the provider. */
const countedFrom = ({ started, waiting, waitedMs }: Job, clockOffsetMs: number): number | null =>
  started === null || waiting !== null ? null : started.timestamp - clockOffsetMs + waitedMs

/** By the event, not by the job's status: `connected` says how the job ended before the events that led there have come. */
const phaseAfter = ({ event }: JobEvent, { started, queuePosition }: Job): Phase => {
  if (event === 'complete') {
    return 'complete'
  }
  if (event === 'error' || event === 'cancelled') {
    return 'error'
  }
  return started !== null && queuePosition === null ? 'streaming' : 'connecting'
}

/** Where this browser knows what was asked for, it says more than that there is nothing. */
const troubleFor = ({ jobId, input }: Session, trouble: Trouble): Trouble =>
  trouble.kind === 'missing' && jobId !== null && input !== null ? UNSEEN : trouble

const troubleIn = (job: Job): Trouble | null => {
  if (job.error !== null) {
    return troubleOfJob(job.error, job.suggestions?.length ?? 0)
  }
  return job.status === 'cancelled' && job.answer === null ? CANCELLED : null
}
