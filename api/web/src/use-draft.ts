/** The request form's content: survives reload, sign-in and errors, and is not overwritten while somebody types. */

import { useCallback, useEffect, useState } from 'react'
import type { SuggestFeatureRequest } from './client/types.gen.ts'
import { type Draft, draftOf, EMPTY_DRAFT } from './draft.ts'
import { remember, remembered } from './storage.ts'

const NAME = 'draft'

export interface DraftState {
  draft: Draft
  change: (changes: Partial<Draft>) => void
  /** What was typed is on its way: the form may take over another request again. */
  markSent: () => void
}

/** `request` is what the job on the screen was asked for with; the form shows it where nobody has typed another. */
export const useDraft = (request: SuggestFeatureRequest | null, isStored: boolean): DraftState => {
  const [draft, setDraft] = useState<Draft>(storedDraft)
  const [isTyped, setIsTyped] = useState(() => remembered(NAME) !== null)
  const [seenRequest, setSeenRequest] = useState<SuggestFeatureRequest | null>(null)

  if (seenRequest !== request) {
    setSeenRequest(request)
    if (request !== null && !isTyped) {
      setDraft(draftOf(request))
    }
  }

  useEffect(() => {
    if (isTyped) {
      remember(NAME, draft)
    } else if (isStored) {
      remember(NAME, null) // a request that the server has is kept as such
    }
  }, [draft, isTyped, isStored])

  const change = useCallback((changes: Partial<Draft>) => {
    setDraft((before) => ({ ...before, ...changes }))
    setIsTyped(true)
  }, [])

  return { draft, change, markSent: () => setIsTyped(false) }
}

const storedDraft = (): Draft => {
  const stored = remembered(NAME)
  return typeof stored === 'object' && stored !== null ? { ...EMPTY_DRAFT, ...(stored as Partial<Draft>) } : EMPTY_DRAFT
}
