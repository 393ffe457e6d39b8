/** Keeps the job in the page's address, so that reload, back, forward and a second tab work. */

const PARAMETER = 'job'

export const jobInAddress = (): string | null => new URLSearchParams(location.search).get(PARAMETER)

/** Adds the job to an address that has none, without a new entry in the history. */
export const resume = (jobId: string | null): void => {
  if (jobId !== null && jobInAddress() === null) {
    history.replaceState(null, '', addressOf(jobId))
  }
}

/** Puts the job, or none, into the address as a new entry of the history, unless it is there already. */
export const visit = (jobId: string | null): void => {
  if (jobInAddress() !== jobId) {
    history.pushState(null, '', addressOf(jobId))
  }
}

const addressOf = (jobId: string | null): string =>
  jobId === null ? '/' : `/?${new URLSearchParams({ [PARAMETER]: jobId })}`
