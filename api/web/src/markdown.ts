/** Writes suggestions as Markdown, for the clipboard, a file or an issue. Pure. */

import type { SuggestFeatureRequest, Complete, Suggestion } from './client/types.gen.ts'
import { kindWords } from './words.ts'

type FileUrl = (path: string) => string | null

const NO_URL: FileUrl = () => null

export const suggestionMarkdown = (suggestion: Suggestion, urlOf: FileUrl = NO_URL): string =>
  `${[`## ${oneLine(suggestion.title)}`, ...bodyOf(suggestion, urlOf)].join('\n\n')}\n`

/** Returns the body of an issue, whose title has a field of its own. */
export const issueMarkdown = (suggestion: Suggestion, page: string | null, urlOf: FileUrl): string =>
  [...(page === null ? [] : [`**Page or component:** ${oneLine(page)}`]), ...bodyOf(suggestion, urlOf)].join('\n\n')

const bodyOf = (suggestion: Suggestion, urlOf: FileUrl): string[] => {
  const { rationale, description, implementationConsiderations: considerations, files = [] } = suggestion
  const parts = [rationale.trim() === '' ? '' : `**Why:** ${rationale.trim()}`, description.trim()]
  if (considerations.length > 0) {
    parts.push('**Implementation considerations**', considerations.map(listItem).join('\n'))
  }
  if (files.length > 0) {
    parts.push('**Files**', files.map(({ path, why }) => listItem(`${fileWords(path, urlOf)}: ${why}`)).join('\n'))
  }
  return parts.filter((part) => part !== '')
}

const fileWords = (path: string, urlOf: FileUrl): string => {
  const url = urlOf(path)
  return url === null ? `\`${path}\`` : `[\`${path}\`](${url})`
}

export interface Document {
  request: SuggestFeatureRequest | null
  suggestions: readonly Suggestion[]
  answer: Complete | null
  /** When it was asked, by this computer's clock. */
  at: number
  urlOf?: FileUrl
}

/** Returns all suggestions under one heading with the request and the agent. */
export const allMarkdown = ({ request, suggestions, answer, at, urlOf = NO_URL }: Document): string => {
  const heading = request === null ? '# Feature suggestions' : `# Feature suggestions: ${oneLine(request.pageOrComponent)}`
  const facts = [
    ...(request === null ? [] : [`- Kind: ${kindWords(request)}`]),
    ...(answer === null ? [] : [`- Model: ${answer.model}`]),
    `- Date: ${new Date(at).toISOString().slice(0, 10)}`,
    ...(answer?.isPartial === true ? ['- The answer was cut short.'] : []),
  ]
  const context = answer?.context?.trim()
  const parts = [heading, facts.join('\n'), ...(context ? [context] : [])]
  return `${parts.join('\n\n')}\n\n${suggestions.map((each) => suggestionMarkdown(each, urlOf)).join('\n')}`
}

const UNSAFE_IN_NAMES = /[^\p{L}\p{N}]+/gu

/** Returns a file name such as "suggestions-checkout-page.md". */
export const fileName = (page: string | null): string => {
  const words = (page ?? '').replaceAll(UNSAFE_IN_NAMES, '-').replaceAll(/^-+|-+$/gu, '').toLowerCase()
  return `suggestions${words === '' ? '' : `-${[...words].slice(0, 60).join('')}`}.md`
}

const oneLine = (text: string): string => text.trim().replaceAll(/\s+/gu, ' ')

/** Indents later lines, so that they stay part of the list item. */
const listItem = (text: string): string => `- ${text.trim().replaceAll(/\r?\n/gu, '\n  ')}`
