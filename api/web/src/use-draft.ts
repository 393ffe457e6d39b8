/** Holds the request form's content, which survives reload, sign-in and errors and is not overwritten during typing. */

import { useCallback, useEffect, useState } from 'react'
import type { SuggestFeatureRequest } from './client/types.gen.ts'
import { type Draft, draftOf, EMPTY_DRAFT } from './draft.ts'
import { remember, remembered } from './storage.ts'

const NAME = 'draft'

export interface DraftState {
  draft: Draft
  change: (changes: Partial<Draft>) => void
  /** Says that the content was sent, so the form may show another request again. */
  markSent: () => void
}

/** `request` is that of the job on the screen; the form shows it unless something else was typed. */
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
