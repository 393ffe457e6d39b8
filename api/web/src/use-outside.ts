/** Shows the job's state to a person in another tab or window: in the tab's title, and by a notification at its end. */

import { useEffect } from 'react'
import { notify } from './notify.ts'
import { statusWords, tabTitle } from './status.ts'
import type { SuggestFeature } from './use-suggest-feature.ts'

export const useOutside = (feature: SuggestFeature): void => {
  const { phase, job, request, isFromKept } = feature
  const page = request?.pageOrComponent ?? null

  useEffect(() => {
    document.title = tabTitle(feature, page)
  }, [feature, page])

  const isDone = phase === 'complete' && !isFromKept
  const doneWords = isDone ? `${page ?? 'Your request'}: ${statusWords(phase, job)}` : null
  useEffect(() => {
    if (doneWords !== null) {
      notify('Your suggestions are there', doneWords)
    }
  }, [doneWords])
}
