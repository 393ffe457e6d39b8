/** What the server offers and allows. */

import { useQuery } from '@tanstack/react-query'
import { useEffect, useMemo } from 'react'
import { readOptions } from './client/api.ts'
import type { Options } from './client/types.gen.ts'
import { rememberSignIn } from './sign-in.ts'
import { type Trouble, troubleOf } from './trouble.ts'

/** Until the server has said how long it gives an attempt. */
const USUAL_TIMEOUT_SECONDS = 120

export interface OptionsState {
  /** Null until they have been read. */
  options: Options | null
  /** What to say where they cannot be read because nobody is signed in. */
  signedOut: Trouble | null
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
      rememberSignIn(data.signInUrl)
    }
  }, [data])

  const trouble = useMemo(() => (error === null ? null : troubleOf(error)), [error])

  return {
    options: data ?? null,
    signedOut: trouble?.kind === 'signed-out' ? trouble : null,
    timeoutMs: (data?.limits.jobTimeoutSeconds ?? USUAL_TIMEOUT_SECONDS) * 1_000,
    readAgain: async () => (await refetch()).isSuccess,
  }
}
