/** Suggestions as Markdown, for the clipboard. Pure. */

import type { Suggestion } from './types.gen.ts'

export const suggestionMarkdown = (suggestion: Suggestion): string => {
  const { title, rationale, description, implementationConsiderations: considerations } = suggestion
  const parts = [`## ${oneLine(title)}`, `**Why:** ${rationale.trim()}`, description.trim()]
  if (considerations.length > 0) {
    parts.push('**Implementation considerations**', considerations.map(listItem).join('\n'))
  }
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`
}

export const allMarkdown = (page: string | null, suggestions: readonly Suggestion[]): string => {
  const heading = page === null ? '# Feature suggestions' : `# Feature suggestions: ${oneLine(page)}`
  return [`${heading}\n`, ...suggestions.map(suggestionMarkdown)].join('\n')
}

const oneLine = (text: string): string => text.trim().replaceAll(/\s+/gu, ' ')

/** Later lines are indented, so that they stay part of the item. */
const listItem = (text: string): string => `- ${text.trim().replaceAll(/\r?\n/gu, '\n  ')}`
