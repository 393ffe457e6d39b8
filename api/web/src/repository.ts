/** Makes links to the project's files and issues from the operator's REPOSITORY_URL. Pure. */

import type { Suggestion } from './client/types.gen.ts'
import { issueMarkdown } from './markdown.ts'

/** The longest address of a new issue, since hosts refuse longer ones. */
const LONGEST_ADDRESS = 7_000

/** Returns the address if it is an http or https URL, else null. */
export const webUrl = (address: string | null | undefined): string | null =>
  typeof address === 'string' && /^https?:\/\/[^\s/]/iu.test(address) ? address : null

/** Returns the address of one file's page. */
export const fileUrl = (repository: string | null | undefined, path: string): string | null => {
  const base = webUrl(repository)
  return base === null ? null : `${base.replace(/\/+$/u, '')}/${path.split('/').map(encodeURIComponent).join('/')}`
}

interface IssueTracker {
  host: 'GitHub' | 'GitLab'
  url: string
  title: string
  body: string
}

/** GitLab marks its own paths with "/-/"; GitHub has owner/name/blob/branch. */
const trackerOf = (repository: string | null | undefined): IssueTracker | null => {
  const base = webUrl(repository)
  const gitLab = base === null ? null : /^(.+?)\/-\/(?:blob|tree|raw)\//u.exec(base)
  if (gitLab !== null) {
    return { host: 'GitLab', url: `${gitLab[1]}/-/issues/new`, title: 'issue[title]', body: 'issue[description]' }
  }
  const gitHub = base === null ? null : /^(https?:\/\/[^/]+\/[^/]+\/[^/]+)\/(?:blob|tree|raw)\//u.exec(base)
  return gitHub === null ? null : { host: 'GitHub', url: `${gitHub[1]}/issues/new`, title: 'title', body: 'body' }
}

export interface IssueLink {
  host: 'GitHub' | 'GitLab'
  url: string
}

/** Returns the address of a form for a new issue, filled in; null where the host is of no known kind. */
export const issueLink = (repository: string | null | undefined, suggestion: Suggestion, page: string | null): IssueLink | null => {
  const tracker = trackerOf(repository)
  if (tracker === null) {
    return null
  }
  const files = (path: string): string | null => fileUrl(repository, path)
  const address = (body: string): string => {
    const query = new URLSearchParams({ [tracker.title]: suggestion.title.trim(), [tracker.body]: body })
    return `${tracker.url}?${query}`
  }
  let body = issueMarkdown(suggestion, page, files)
  while (address(body).length > LONGEST_ADDRESS) {
    body = `${[...body].slice(0, Math.floor([...body].length * 0.8)).join('').trimEnd()}…`
  }
  return { host: tracker.host, url: address(body) }
}
