/** Manages the job on the screen: it is created or opened, watched, cancelled, and requested again. */

import { useMutation, useQuery } from '@tanstack/react-query'
import { useCallback, useEffect, useReducer, useRef, useState } from 'react'
import { jobInAddress, visit } from './address.ts'
import { ApiError } from './client/api-error.ts'
import { cancelJob, createJob, jobUrl, readJob } from './client/api.ts'
import { DEFAULT_RETRY_MS, waitMs } from './client/reconnect.ts'
import type { SuggestFeatureRequest } from './client/types.gen.ts'
import { watch } from './client/watch.ts'
import { asked, isOver, type KeptRequest } from './kept/record.ts'
import { findKept } from './kept/store.ts'
import { lateness } from './patience.ts'
import { IDLE, isUnderWay, type Session, step } from './session.ts'
import { timedOut, troubleOf, WITHDRAWN } from './trouble.ts'

/** The further tries of one submit that got no answer. They use the same key, so that they make one job. */
const CREATION_RETRIES = 2
/** How much longer a late job is watched at least when the person continues to watch it. */
const MORE_PATIENCE_MS = 30_000

export interface SuggestFeatureOptions {
  /** How long the server lets one attempt take. */
  timeoutMs: number
  /** Is called with a request when it is made, and when it has ended. */
  onKeep: (record: KeptRequest) => void
}

export interface SuggestFeature extends Session {
  isBusy: boolean
  isCancelling: boolean
  /** Whether the request to cancel has failed. */
  isCancelRefused: boolean
  /** The request of the job on the screen; null until it is known. */
  request: SuggestFeatureRequest | null
  submit: (input: SuggestFeatureRequest) => void
  cancel: () => void
  /** Creates a new job with the same input and a new key. */
  retry: () => void
  /** Watches the same job once more. */
  lookAgain: () => void
  open: (jobId: string) => void
  startOver: () => void
}

export const useSuggestFeature = ({ timeoutMs, onKeep }: SuggestFeatureOptions): SuggestFeature => {
  const [session, dispatch] = useReducer(step, IDLE, openedFromAddress)
  const [patientUntil, setPatientUntil] = useState(0)
  const isSubmitting = useRef(false)
  /** Is increased when the page shows another job, so that an answer that comes too late changes nothing. */
  const turn = useRef(0)
  /** The turns whose creations were cancelled before the server had answered; there may be several at once. */
  const unwanted = useRef(new Set<number>())

  const { mutateAsync: create } = useMutation({
    mutationFn: createJob,
    // A token may expire a moment before it is replaced.
    retry: (failures, error) => failures < CREATION_RETRIES && !(error instanceof ApiError && error.status !== 401),
    retryDelay: (failures) => waitMs(failures, DEFAULT_RETRY_MS / 2, Math.random()),
  })
  const cancellation = useMutation({ mutationFn: cancelJob })
  const { mutate: askToCancel, reset: forgetCancellation } = cancellation

  const { jobId, input, phase, connection, trouble, job, isKeptChecked, countedFrom, watchNumber, isFromKept } = session
  const attempt = job.attempt
  const stored = useQuery({
    queryKey: ['job', jobId],
    queryFn: () => readJob(jobId ?? ''),
    // Not before the stream has shown that the job is there, and ours.
    enabled: jobId !== null && input === null && (connection.state === 'open' || phase === 'complete'),
    staleTime: Number.POSITIVE_INFINITY,
  })
  const request = input ?? stored.data?.input ?? null
  const createdAt = stored.data?.createdAt
  const isBusy = isUnderWay(session)
  const isWatching = isBusy && jobId !== null && isKeptChecked

  useEffect(() => {
    if (jobId === null || isKeptChecked) {
      return
    }
    void findKept(jobId).then((kept) =>
      dispatch(
        kept !== null && isOver(kept.job)
          ? { type: 'kept', jobId, input: kept.input, job: kept.job }
          : { type: 'not-kept', jobId, input: kept?.input ?? null },
      ),
    )
  }, [jobId, isKeptChecked])

  useEffect(() => {
    if (!isWatching || jobId === null) {
      return undefined
    }
    const viewing = new AbortController()
    watch({
      url: jobUrl(jobId),
      signal: viewing.signal,
      onConnection: (state) => dispatch({ type: 'connection', connection: state }),
      onEvent: (event, eventId) => dispatch({ type: 'event', event, eventId, receivedAt: Date.now() }),
    }).catch((error: unknown) => dispatch({ type: 'failed', trouble: troubleOf(error) }))
    return () => viewing.abort()
    // oxlint-disable-next-line react/exhaustive-deps, react/exhaustive-effect-dependencies -- another number: watch anew
  }, [jobId, isWatching, watchNumber])

  useEffect(() => {
    if (countedFrom === null || jobId === null) {
      return undefined
    }
    const waiting = new AbortController()
    const { signal } = waiting
    const deadline = Math.max(countedFrom + timeoutMs, patientUntil)
    void lateness({ deadline, attempt, signal, readJob: () => readJob(jobId) }).then((outcome) => {
      if (outcome !== 'aborted') {
        dispatch(outcome === 'late' ? { type: 'failed', trouble: timedOut(timeoutMs) } : { type: 'watch-again' })
      }
    })
    return () => waiting.abort()
  }, [countedFrom, timeoutMs, patientUntil, jobId, attempt, watchNumber])

  useEffect(() => {
    if (!isBusy) {
      isSubmitting.current = false
    }
  }, [isBusy])

  useEffect(() => {
    if (jobId !== null && request !== null && !isBusy && !isFromKept && isFinal(session)) {
      onKeep({ ...asked(jobId, request, createdAt ?? Date.now()), job })
    }
    // oxlint-disable-next-line react/exhaustive-deps, react/exhaustive-effect-dependencies -- once, when the end is there
  }, [jobId, request, isBusy, isFromKept])

  useEffect(() => {
    const handlePopState = (): void => {
      const visited = jobInAddress()
      turn.current += 1
      forgetCancellation()
      dispatch(visited === null ? { type: 'left' } : { type: 'opened', jobId: visited })
    }
    addEventListener('popstate', handlePopState)
    return () => removeEventListener('popstate', handlePopState)
  }, [forgetCancellation])

  const submit = async (wanted: SuggestFeatureRequest): Promise<void> => {
    // A second click may come before the first one has been rendered.
    if (isBusy || isSubmitting.current) {
      return
    }
    isSubmitting.current = true
    turn.current += 1
    const ours = turn.current
    forgetCancellation()
    dispatch({ type: 'submitted', input: wanted, at: Date.now() })
    try {
      const created = await create({ input: wanted, idempotencyKey: newKey() })
      // Kept also when it is unwanted: the list shows how it ends, even if the request to cancel it is lost.
      onKeep(asked(created.jobId, wanted, created.createdAt))
      if (unwanted.current.has(ours)) {
        cancelJob(created.jobId).catch(() => undefined)
      } else if (ours === turn.current) {
        visit(created.jobId)
        dispatch({ type: 'created', jobId: created.jobId })
      }
    } catch (error) {
      if (ours === turn.current) {
        visit(null)
        dispatch({ type: 'failed', trouble: troubleOf(error) })
      }
    }
  }

  const open = useCallback(
    (wanted: string): void => {
      turn.current += 1
      forgetCancellation()
      visit(wanted)
      dispatch({ type: 'opened', jobId: wanted })
    },
    [forgetCancellation],
  )

  const leave = (): void => {
    turn.current += 1
    forgetCancellation()
    visit(null)
    dispatch({ type: 'left' })
  }

  return {
    ...session,
    isBusy,
    isCancelling: cancellation.isPending || (cancellation.isSuccess && isBusy),
    isCancelRefused: cancellation.isError,
    request,
    submit: (wanted) => void submit(wanted),
    cancel: () => {
      if (jobId === null) {
        // The server has not answered yet: whatever it makes of it is cancelled when it does.
        unwanted.current.add(turn.current)
        turn.current += 1
        visit(null)
        dispatch({ type: 'failed', trouble: WITHDRAWN })
      } else {
        askToCancel(jobId)
      }
    },
    retry: () => {
      if (phase === 'error' && trouble?.kind === 'timeout' && jobId !== null) {
        // The result is not awaited: if this request is lost, the job's own time limit ends it.
        cancelJob(jobId).catch(() => undefined)
      }
      if (request !== null) {
        void submit(request)
      }
    },
    lookAgain: () => {
      if (jobId !== null) {
        setPatientUntil(Date.now() + MORE_PATIENCE_MS)
        dispatch({ type: 'opened', jobId })
      }
    },
    open,
    startOver: leave,
  }
}

/** Returns whether the server has reported the end of the job; a time-out of the page is no such end. */
const isFinal = ({ job }: Session): boolean => job.answer !== null || job.error !== null || job.status === 'cancelled'

const openedFromAddress = (idle: Session): Session => {
  const jobId = jobInAddress()
  return jobId === null ? idle : step(idle, { type: 'opened', jobId })
}

/** Returns a random key. `crypto.randomUUID` would require https. */
const newKey = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
