/** Lists the agent's notes and tool calls before the answer as lines, in their order. Pure. */

import type { Job } from './client/transcript.ts'
import { toolSentence } from './plain-tool.ts'

export interface ActivityLine {
  kind: 'note' | 'tool'
  words: string
}

const CUT = '…'

export const activityOf = ({ tools, notes }: Pick<Job, 'tools' | 'notes'>): ActivityLine[] => {
  const lines: ActivityLine[] = []
  let shown = 0
  const addNotes = (until: number): void => {
    for (let note = notes[shown]; note !== undefined && note.toolsBefore <= until; note = notes[shown]) {
      addNote(lines, note.text)
      shown += 1
    }
  }
  for (const [index, tool] of tools.entries()) {
    addNotes(index)
    lines.push({ kind: 'tool', words: toolSentence(tool) })
  }
  addNotes(tools.length)
  return lines
}

/** Joins a note that was cut inside a sentence with the next note. */
const addNote = (lines: ActivityLine[], text: string): void => {
  const last = lines.at(-1)
  if (last?.kind === 'note' && last.words.endsWith(CUT)) {
    last.words = `${last.words.slice(0, -CUT.length).trimEnd()} ${text}`
  } else {
    lines.push({ kind: 'note', words: text })
  }
}
