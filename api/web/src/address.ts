/** The job in the address: what makes reload, back, forward and a second tab work. */

const PARAMETER = 'job'

export const jobInAddress = (): string | null => new URLSearchParams(location.search).get(PARAMETER)

/** Puts the job into an address that has none, as if it had come with it. */
export const resume = (jobId: string | null): void => {
  if (jobId !== null && jobInAddress() === null) {
    history.replaceState(null, '', addressOf(jobId))
  }
}

/** Puts the job, or none, into the address as a new entry of the history; the same one again is no new entry. */
export const visit = (jobId: string | null): void => {
  if (jobInAddress() !== jobId) {
    history.pushState(null, '', addressOf(jobId))
  }
}

const addressOf = (jobId: string | null): string =>
  jobId === null ? '/' : `/?${new URLSearchParams({ [PARAMETER]: jobId })}`
