/** Continues what was stopped by a sign-out when the person may have signed in again, perhaps in another tab. */

import { useEffect } from 'react'
import { onWake } from './client/timing.ts'
import type { OptionsState } from './use-options.ts'
import type { SuggestFeature } from './use-suggest-feature.ts'

export const useSignInAgain = ({ signedOut, readAgain }: OptionsState, feature: SuggestFeature): void => {
  const { trouble, jobId, retry, lookAgain } = feature
  const isStopped = trouble?.kind === 'signed-out'

  const handleReturn = async (): Promise<void> => {
    if ((await readAgain()) && isStopped) {
      const goOn = jobId === null ? retry : lookAgain
      goOn()
    }
  }

  useEffect(() => (signedOut !== null || isStopped ? onWake(() => void handleReturn()) : undefined))
}
