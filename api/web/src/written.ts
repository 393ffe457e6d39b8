/** Reads the suggestion that is being written out of the growing text. Pure. */

import type { Suggestion } from './client/types.gen.ts'

/** Holds what has come of the answer so far. */
export interface Written {
  /** The model's reading of the page, which comes first. */
  context: string
  /** The suggestion that has begun and is not complete; null between two of them. */
  draft: Suggestion | null
}

const CONSIDERATIONS = /\n\n(?=- )/u
const WHY = '\nWhy: '

/** Reads the unfinished suggestion. The text of the first `whole` ones, which have come as events, is skipped. */
export const writtenIn = (text: string, whole: number): Written => {
  const first = beginOf(text, 1, 0)
  const context = (first === null ? text : text.slice(0, first.at)).trim()
  let begin = first
  for (let number = 2; begin !== null && number <= whole + 1; number += 1) {
    begin = beginOf(text, number, begin.after)
  }
  return { context, draft: begin === null ? null : draftOf(text.slice(begin.after)) }
}

/** Returns where the suggestion of this number begins: at "2. " at the start of a paragraph. */
const beginOf = (text: string, number: number, from: number): { at: number; after: number } | null => {
  const mark = `${number}. `
  if (from === 0 && text.startsWith(mark)) {
    return { at: 0, after: mark.length }
  }
  const at = text.indexOf(`\n\n${mark}`, from)
  return at === -1 ? null : { at, after: at + 2 + mark.length }
}

/** Returns the parts in the order in which they are written: title, "Why: …", a paragraph or more, "- …" lines. */
const draftOf = (body: string): Suggestion => {
  const [prose = '', ...lists] = body.split(CONSIDERATIONS)
  const paragraph = prose.indexOf('\n\n')
  const head = paragraph === -1 ? prose : prose.slice(0, paragraph)
  const why = head.indexOf(WHY)
  return {
    title: why === -1 ? head : head.slice(0, why),
    rationale: why === -1 ? '' : head.slice(why + WHY.length),
    description: paragraph === -1 ? '' : prose.slice(paragraph + 2),
    implementationConsiderations: lists.flatMap((list) => list.slice(2).split('\n- ')),
    files: [],
  }
}
