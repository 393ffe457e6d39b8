// Asks for suggestions and prints the answer: node typescript.ts "Checkout page"
// Copy the folder api/web/src/client into your project; it needs the package eventsource-parser, and no framework.
import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { configure } from '../../api/web/src/client/access.ts'
import { createJob, jobUrl } from '../../api/web/src/client/api.ts'
import { ApiError } from '../../api/web/src/client/api-error.ts'
import { EMPTY_JOB, fold, type Job } from '../../api/web/src/client/transcript.ts'
import type { JobCreated, SuggestFeatureRequest } from '../../api/web/src/client/types.gen.ts'
import { watch } from '../../api/web/src/client/watch.ts'

/** On a page that the API serves itself, leave this out: the browser sends its cookie. */
configure({
  origin: process.env.PLANNER_URL ?? 'http://localhost:8000',
  token: () => process.env.PLANNER_TOKEN ?? '', // called before each request: give it what refreshes your token
})

/** Creates one job, however often it has to be asked: the key makes repeating safe. */
const create = async (input: SuggestFeatureRequest): Promise<JobCreated> => {
  const idempotencyKey = randomUUID()
  for (let tries = 1; ; tries += 1) {
    try {
      return await createJob({ input, idempotencyKey })
    } catch (error) {
      const isLasting = error instanceof ApiError && error.status < 500 && error.status !== 408 && error.status !== 429
      if (isLasting || tries === 10) {
        throw error
      }
      await pause((error instanceof ApiError && error.retryAfterMs) || 1_000)
    }
  }
}

/** The job when it is over, having shown it at each event. `watch` comes back by itself after whatever breaks. */
const follow = async (jobId: string, show: (job: Job) => void, signal: AbortSignal): Promise<Job> => {
  let job = EMPTY_JOB
  const onEvent: Parameters<typeof watch>[0]['onEvent'] = (event, id) => {
    job = fold(job, event, id)
    show(job)
  }
  await watch({ url: jobUrl(jobId), signal, onEvent, onConnection: ({ state }) => console.error(state) })
  return job
}

const { jobId } = await create({
  pageOrComponent: process.argv[2] ?? 'Checkout page',
  featureType: 'enhancement',
  priorityLevel: 'high',
})
const show = ({ status, attempt, totalLength }: Job): void => console.error(status, attempt, totalLength)
const job = await follow(jobId, show, new AbortController().signal) // abort it when nobody watches any more
if (job.status !== 'completed') {
  throw new Error(job.error?.message ?? job.status)
}
console.log(job.text)
