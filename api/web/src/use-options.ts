/** What the server offers and allows. */

import { useQuery } from '@tanstack/react-query'
import { useEffect } from 'react'
import { readOptions } from './client/api.ts'
import type { Options } from './client/types.gen.ts'
import { remember, remembered } from './storage.ts'
import { troubleOf } from './trouble.ts'

/** Until the server has said how long it gives an attempt. */
const USUAL_TIMEOUT_SECONDS = 120
const SIGN_IN = 'sign-in'

export interface OptionsState {
  /** Null until they have been read. */
  options: Options | null
  isSignedOut: boolean
  signInUrl: string | null
  timeoutMs: number
  /** Reads them once more; resolves with whether they could be read. */
  readAgain: () => Promise<boolean>
}

export const useOptions = (): OptionsState => {
  const { data, error, refetch } = useQuery<Options>({
    queryKey: ['options'],
    queryFn: readOptions,
    staleTime: Number.POSITIVE_INFINITY,
  })

  useEffect(() => {
    if (data !== undefined) {
      // Asked when somebody is signed out, and then the server does not say.
      remember(SIGN_IN, data.signInUrl ?? null)
    }
  }, [data])

  return {
    options: data ?? null,
    isSignedOut: error !== null && troubleOf(error).kind === 'signed-out',
    signInUrl: data?.signInUrl ?? (remembered(SIGN_IN) as string | null),
    timeoutMs: (data?.limits.jobTimeoutSeconds ?? USUAL_TIMEOUT_SECONDS) * 1_000,
    readAgain: async () => (await refetch()).isSuccess,
  }
}
