/** One job on the screen: asked for or opened, watched, cancelled, asked for again. */

import { useMutation, useQuery } from '@tanstack/react-query'
import { useEffect, useReducer, useRef } from 'react'
import { jobInAddress, visit } from './address.ts'
import { ApiError, cancelJob, createJob, jobUrl, readJob } from './api.ts'
import { DEFAULT_RETRY_MS, waitMs } from './reconnect.ts'
import { IDLE, isUnderWay, type Session, step } from './session.ts'
import { watch } from './stream.ts'
import { TIMED_OUT, troubleOf } from './trouble.ts'
import type { SuggestFeatureRequest } from './types.gen.ts'

/** Further tries of one submit when nobody answered; with the same key, so that they make one job. */
const CREATION_RETRIES = 2

export interface SuggestFeature extends Session {
  isBusy: boolean
  isCancelling: boolean
  /** The request to cancel failed itself. */
  isCancelRefused: boolean
  /** What the job on the screen was asked for with; null until that is known. */
  request: SuggestFeatureRequest | null
  submit: (input: SuggestFeatureRequest) => void
  cancel: () => void
  /** Asks again with the same input: a new job, with a key of its own. */
  retry: () => void
  /** Watches the same job once more. */
  lookAgain: () => void
  startOver: () => void
}

export const useSuggestFeature = (): SuggestFeature => {
  const [session, dispatch] = useReducer(step, IDLE, openedFromAddress)
  const isSubmitting = useRef(false)
  /** Rises when the page moves on, so that an answer that comes too late changes nothing. */
  const turn = useRef(0)

  const { mutateAsync: create } = useMutation({
    mutationFn: createJob,
    retry: (failures, error) => failures < CREATION_RETRIES && !(error instanceof ApiError),
    retryDelay: (failures) => waitMs(failures, DEFAULT_RETRY_MS / 2, Math.random()),
  })
  const cancellation = useMutation({ mutationFn: cancelJob })
  const { mutate: askToCancel, reset: forgetCancellation } = cancellation

  const { jobId, deadline, input, phase, connection, trouble } = session
  const stored = useQuery({
    queryKey: ['job', jobId],
    queryFn: () => readJob(jobId ?? ''),
    // Not before the stream has shown that the job is there, and ours.
    enabled: jobId !== null && input === null && (connection.state === 'open' || phase === 'complete'),
    staleTime: Number.POSITIVE_INFINITY,
  })
  const request = input ?? stored.data?.input ?? null
  const isBusy = isUnderWay(session)
  const isWatching = isBusy && jobId !== null

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
  }, [jobId, isWatching])

  useEffect(() => {
    if (deadline === null) {
      return undefined
    }
    const timer = setTimeout(() => dispatch({ type: 'failed', trouble: TIMED_OUT }), deadline - Date.now())
    return () => clearTimeout(timer)
  }, [deadline])

  useEffect(() => {
    if (!isBusy) {
      isSubmitting.current = false
    }
  }, [isBusy])

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
    dispatch({ type: 'submitted', input: wanted })
    try {
      const created = await create({ input: wanted, idempotencyKey: newKey() })
      if (ours === turn.current) {
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

  return {
    ...session,
    isBusy,
    isCancelling: cancellation.isPending || (cancellation.isSuccess && isBusy),
    isCancelRefused: cancellation.isError,
    request,
    submit: (wanted) => void submit(wanted),
    cancel: () => jobId !== null && askToCancel(jobId),
    retry: () => {
      if (phase === 'error' && trouble?.kind === 'timeout' && jobId !== null) {
        // Nobody waits for that one any more; if this does not arrive, its own time-out ends it.
        cancelJob(jobId).catch(() => undefined)
      }
      if (request !== null) {
        void submit(request)
      }
    },
    lookAgain: () => jobId !== null && dispatch({ type: 'opened', jobId }),
    startOver: () => {
      turn.current += 1
      forgetCancellation()
      visit(null)
      dispatch({ type: 'left' })
    },
  }
}

const openedFromAddress = (idle: Session): Session => {
  const jobId = jobInAddress()
  return jobId === null ? idle : step(idle, { type: 'opened', jobId })
}

/** Random; `crypto.randomUUID` would want https. */
const newKey = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
