/** The job in the address: what makes reload, back, forward and a second tab work. */

const PARAMETER = 'job'

export const jobInAddress = (): string | null => new URLSearchParams(location.search).get(PARAMETER)

/** Puts the job, or none, into the address as a new entry of the history; the same one again is no new entry. */
export const visit = (jobId: string | null): void => {
  if (jobInAddress() !== jobId) {
    history.pushState(null, '', jobId === null ? '/' : `/?${new URLSearchParams({ [PARAMETER]: jobId })}`)
  }
}
