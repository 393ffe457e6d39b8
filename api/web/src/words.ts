/** What things are called on the page. Pure. */

import type { Job, ToolUse } from './transcript.ts'
import type { Cause, FeatureType, PriorityLevel, TokenUsage } from './types.gen.ts'

export const FEATURE_TYPE_WORDS: Record<FeatureType, string> = {
  enhancement: 'Enhancement',
  'new-capability': 'New capability',
  optimization: 'Optimization',
  'ui-improvement': 'UI improvement',
  integration: 'Integration',
}

export const PRIORITY_WORDS: Record<PriorityLevel, string> = {
  low: 'Low',
  medium: 'Medium',
  high: 'High',
  critical: 'Critical',
}

export const CAUSE_WORDS: Record<Cause, string> = {
  worker_lost: 'The server that was writing stopped unexpectedly, so the answer starts over.',
  model_error: 'The model broke off, so the answer starts over.',
  drain: 'The server that was writing is being replaced, so the answer starts over.',
}

const TOOL_VERBS: Record<ToolUse['name'], string> = { Read: 'Reading', Grep: 'Searching for', Glob: 'Listing' }

/** "Reading api/delivery/hub.py" in its two parts. */
export const toolWords = ({ name, input }: ToolUse): { verb: string; object: string } => {
  const named = name === 'Read' ? input['file_path'] : input['pattern']
  const where = name !== 'Read' && typeof input['path'] === 'string' ? ` in ${input['path']}` : ''
  return { verb: TOOL_VERBS[name], object: `${typeof named === 'string' ? named : '…'}${where}` }
}

/** Where a job that waits stands. */
export const queueWords = ({ queuePosition, workers }: Job): string | null => {
  if (queuePosition === null) {
    return null
  }
  if (workers === 0) {
    return 'No worker is there to take it yet. It will start by itself as soon as one is.'
  }
  return queuePosition === 1 ? 'You are next in the queue.' : `You are number ${queuePosition} in the queue.`
}

export const countWords = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString('en')} ${count === 1 ? one : many}`

export const durationWords = (milliseconds: number): string =>
  milliseconds < 10_000 ? `${(milliseconds / 1_000).toFixed(1)} s` : `${Math.round(milliseconds / 1_000)} s`

export const tokenWords = ({ totalTokens, inputTokens, outputTokens, cacheReadTokens }: TokenUsage): string => {
  const cached = cacheReadTokens > 0 ? `, ${cacheReadTokens.toLocaleString('en')} from the cache` : ''
  const parts = `${inputTokens.toLocaleString('en')} in, ${outputTokens.toLocaleString('en')} out${cached}`
  return `${countWords(totalTokens, 'token')} (${parts})`
}

/** Unicode code points, as the server counts. */
export const lengthOf = (text: string): number => [...text].length
