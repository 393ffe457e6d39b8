/** Describes the calls of the agent's tools in plain words. Pure. */

import type { ToolUse } from './client/transcript.ts'

/** Classes and anchors such as \w, \b and \d; escapes of single characters keep the character. */
const CLASS = /\\[bBdDsSwWAZ]/gu
/** [Cc]: one letter, large or small. */
const EITHER_CASE = /\[(\p{L})(\p{L})\]/gu
const BRACKETS = /\[[^\]]*\]/gu
const ESCAPE = /\\(.)/gu
const SYNTAX = /[\^$*+?(){}|[\]]|\.[*+?]/gu
const WORD = /[\p{L}\p{N}_][\p{L}\p{N}_.-]*/gu
const EXTENSION = /\.\{?([\w,]+)\}?$/u
const MOST_WORDS = 3

/** Returns a phrase such as "Searching for checkout", without raw patterns. */
export const toolSentence = ({ name, input }: ToolUse): string => {
  const where = folderWords(textOf(input['path']))
  switch (name) {
    case 'Read':
      return `Reading ${textOf(input['file_path']) || 'a file'}`
    case 'Grep':
      return `Searching ${searchWords(textOf(input['pattern']))}${where}`
    case 'Glob':
      return `Looking for ${filesWords(textOf(input['pattern']))}${where}`
    default:
      return 'Looking at the project'
  }
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

const folderWords = (path: string): string => (path === '' || path === '.' || path === './' ? '' : ` in ${path}`)

/** Removes the character classes from a pattern. */
const withoutBrackets = (pattern: string): string =>
  pattern
    .replace(EITHER_CASE, (both, one: string, other: string) => (one.toLowerCase() === other.toLowerCase() ? one.toLowerCase() : both))
    .replace(BRACKETS, ' ')

/** Returns the words in a search pattern. */
const searchWords = (pattern: string): string => {
  const plain = withoutBrackets(pattern.replace(CLASS, ' ')).replace(ESCAPE, '$1').replace(SYNTAX, ' ')
  const words = [...new Set(plain.match(WORD))].filter((word) => word.length > 1)
  const shown = words.slice(0, MOST_WORDS).map((word) => `“${word}”`)
  return shown.length === 0 ? 'the files' : `for ${listWords(shown, words.length > MOST_WORDS)}`
}

const listWords = (items: readonly string[], isCut: boolean): string => {
  if (isCut) {
    return `${items.join(', ')} and more`
  }
  return items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`
}

/** Describes a pattern such as "checkout*.tsx": names that contain a word, files of a kind, or just files. */
const filesWords = (pattern: string): string => {
  const base = withoutBrackets(pattern.split('/').at(-1) ?? '')
  const named = base.replace(EXTENSION, '').match(WORD)?.[0]
  const kinds = EXTENSION.exec(base)?.[1]?.split(',')
  const kindWords = kinds === undefined ? 'files' : `${listWords(kinds.map((kind) => `.${kind}`), false)} files`
  return named === undefined ? kindWords : `${kindWords} named “${named}”`
}
