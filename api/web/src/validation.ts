/** Checks a form before it is sent; the server checks it again. Pure. */

import type { FieldProblem } from './client/types.gen.ts'
import { lengthOf } from './words.ts'

export interface Bounds {
  least: number
  greatest: number
}

export type FieldErrors = Readonly<Record<string, string>>

/** Returns what is wrong with a text, in the server's words; null when nothing is. */
export const lengthProblem = (text: string, { least, greatest }: Bounds): string | null => {
  const length = lengthOf(text)
  if (length === 0 && least > 0) {
    return 'is required'
  }
  if (length < least) {
    return `must have at least ${least} characters`
  }
  return length > greatest ? `must have at most ${greatest.toLocaleString('en')} characters` : null
}

/** Returns sentences by field, from problems that only contain what follows the field's name. */
export const fieldErrors = (labels: Readonly<Record<string, string>>, problems: readonly FieldProblem[]): FieldErrors =>
  Object.fromEntries(problems.map(({ field, message }) => [field, `${labels[field] ?? field} ${message}.`]))
