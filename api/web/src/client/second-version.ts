/** What the contract's second version adds; servers of the first send none of it. */

import type { Complete, JobEvent, Options, Suggestion } from './types.gen.ts'

export type WaitReason = 'rate_limited' | 'overloaded' | 'unreachable'

export interface Wait {
  reason: WaitReason
  /** When the provider is asked again, by the server's clock. */
  until: number
  timestamp: number
}

export type StreamEvent =
  | JobEvent
  | { event: 'waiting'; data: Wait }
  | { event: 'note'; data: { text: string; timestamp: number } }

export type Answer = Complete & { isPartial?: boolean }

export interface FileNote {
  path: string
  why: string
}

export type SuggestionWithFiles = Suggestion & { files?: readonly FileNote[] }

export type PageOptions = Options & {
  agent?: string | null
  repositoryUrl?: string | null
  signInUrl?: string | null
}
