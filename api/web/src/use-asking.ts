/** Holds the state of the request form: its content, whether it is folded away, and a new request made of an answer. */

import { useCallback, useState } from 'react'
import type { Suggestion } from './client/types.gen.ts'
import { type Draft, type Refinement, refinedContext, requestOf } from './draft.ts'
import { focusField } from './focus.ts'
import { useDraft } from './use-draft.ts'
import type { SuggestFeature } from './use-suggest-feature.ts'

export interface Asking {
  draft: Draft
  change: (changes: Partial<Draft>) => void
  /** On a small screen the form is folded away while there is something else to see. */
  isFolded: boolean
  unfold: () => void
  submit: () => void
  open: (jobId: string) => void
  startOver: () => void
  tryExample: (example: Draft) => void
  refine: (suggestion: Suggestion, refinement: Refinement) => void
}

/** `isWelcoming` means that only the form is shown. */
export const useAsking = (feature: SuggestFeature, isWelcoming: boolean): Asking => {
  const [isUnfolded, setIsUnfolded] = useState(false)
  const { jobId, request } = feature
  const { draft, change, markSent } = useDraft(request, jobId !== null && request !== null)

  const goToField = useCallback((name: string): void => {
    setIsUnfolded(true)
    // This runs after the form has become visible.
    requestAnimationFrame(() => focusField(name))
  }, [])

  const { open } = feature
  const handleOpen = useCallback(
    (wanted: string): void => {
      setIsUnfolded(false)
      open(wanted)
    },
    [open],
  )

  const refine = useCallback(
    (suggestion: Suggestion, refinement: Refinement): void => {
      const asked = request === null ? {} : { pageOrComponent: request.pageOrComponent, featureType: request.featureType, priorityLevel: request.priorityLevel }
      change({ ...asked, additionalContext: refinedContext(suggestion, refinement) })
      goToField('additionalContext')
    },
    [request, change, goToField],
  )

  return {
    draft,
    change,
    isFolded: !isWelcoming && !isUnfolded,
    unfold: () => goToField('pageOrComponent'),
    submit: () => {
      setIsUnfolded(false)
      markSent()
      feature.submit(requestOf(draft))
    },
    open: handleOpen,
    startOver: () => {
      feature.startOver()
      goToField('pageOrComponent')
    },
    tryExample: (example) => {
      change(example)
      goToField('pageOrComponent')
    },
    refine,
  }
}
