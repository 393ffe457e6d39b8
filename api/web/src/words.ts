/** Names things as the page shows them. Pure. */

import type { Job } from './client/transcript.ts'
import type { Cause, FeatureType, JobInput, PriorityLevel, SuggestFeatureRequest, TokenUsage, WaitReason } from './client/types.gen.ts'

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

/** The reasons of the next attempt, shown during it and after its end. */
export const CAUSE_WORDS: Record<Cause, string> = {
  worker_lost: 'The server that was writing stopped unexpectedly',
  model_error: 'The model broke off',
  drain: 'The server that was writing was replaced',
}

const WAIT_WORDS: Record<WaitReason, string> = {
  rate_limited: 'Claude is being asked a lot right now and lets us wait our turn',
  overloaded: 'Claude is very busy right now',
  unreachable: 'Claude cannot be reached right now',
}

export const waitWords = (reason: WaitReason): string => WAIT_WORDS[reason] ?? WAIT_WORDS.overloaded

/** Returns a phrase such as "Enhancement, high priority". A value that only a newer version knows is used as it is. */
export const kindWords = ({ featureType, priorityLevel }: SuggestFeatureRequest | JobInput): string =>
  `${FEATURE_TYPE_WORDS[featureType] ?? featureType}, ${(PRIORITY_WORDS[priorityLevel] ?? priorityLevel).toLowerCase()} priority`

/** Describes the position of a waiting job. */
export const queueWords = ({ queuePosition, workers }: Job): string | null => {
  if (queuePosition === null) {
    return null
  }
  if (workers === 0) {
    return 'The service that writes the answers is not running at the moment. Your request starts by itself as soon as it is back.'
  }
  return queuePosition === 1
    ? 'You are next. It starts as soon as there is room.'
    : `${countWords(queuePosition - 1, 'request is', 'requests are')} before yours. It starts by itself.`
}

export const countWords = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString('en')} ${count === 1 ? one : many}`

/** Describes how long something took. */
export const durationWords = (milliseconds: number): string => {
  const seconds = Math.round(milliseconds / 1_000)
  if (seconds < 60) {
    return milliseconds < 10_000 ? `${(milliseconds / 1_000).toFixed(1)} s` : `${seconds} s`
  }
  return seconds % 60 === 0 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}

/** Writes out a duration: "2 minutes", "90 seconds". */
export const spanWords = (milliseconds: number): string => {
  const seconds = Math.round(milliseconds / 1_000)
  return seconds % 60 === 0 && seconds > 0 ? countWords(seconds / 60, 'minute') : countWords(seconds, 'second')
}

/** Returns a duration as a stopwatch shows it: "0:42". */
export const clockWords = (milliseconds: number): string => {
  const seconds = Math.max(0, Math.floor(milliseconds / 1_000))
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}

/** Describes the tokens by input and output, which add up to the total. */
export const tokenWords = ({ totalTokens, outputTokens }: TokenUsage): string => {
  const read = (totalTokens - outputTokens).toLocaleString('en')
  return `${countWords(totalTokens, 'token')} (${read} read, ${outputTokens.toLocaleString('en')} written)`
}

/** Counts Unicode code points, as the server does. */
export const lengthOf = (text: string): number => [...text].length
