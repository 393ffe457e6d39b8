/** Finds out how kept requests ended whose end this browser has not seen. */

import { jobUrl, listJobs } from '../client/api.ts'
import { EMPTY_JOB, fold, type Job } from '../client/transcript.ts'
import { watch } from '../client/watch.ts'
import { isOver, type KeptRequest } from './record.ts'

/** The server lists this many jobs at most: one that is missing in a full list may still be there. */
const MOST_LISTED = 50

/** Of these requests, those that have ended, with their end; `isEndUnknown` where the server has let go of it. */
export const endsOf = async (requests: readonly KeptRequest[], signal: AbortSignal): Promise<KeptRequest[]> => {
  const { jobs } = await listJobs()
  const ended: KeptRequest[] = []
  for (const request of requests) {
    const listed = jobs.find(({ jobId }) => jobId === request.jobId)
    if (listed === undefined && jobs.length < MOST_LISTED) {
      ended.push({ ...request, isEndUnknown: true })
    } else if (listed !== undefined && isOver(listed)) {
      // oxlint-disable-next-line no-await-in-loop -- one stream at a time: a person may have few of them open
      ended.push({ ...request, job: await jobAtItsEnd(request.jobId, signal) })
    }
  }
  // What was interrupted is not whole.
  return signal.aborted ? [] : ended
}

/** Reads all events of a job that has ended. */
const jobAtItsEnd = async (jobId: string, signal: AbortSignal): Promise<Job> => {
  let job = EMPTY_JOB
  await watch({
    url: jobUrl(jobId),
    signal,
    onConnection: () => undefined,
    onEvent: (event, eventId) => {
      job = fold(job, event, eventId)
    },
  })
  return job
}
