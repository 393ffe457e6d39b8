/** Reads what the server offers and allows. */

import { useQuery } from '@tanstack/react-query'
import { useEffect, useMemo } from 'react'
import { readOptions } from './client/api.ts'
import type { Options } from './client/types.gen.ts'
import { rememberSignIn } from './sign-in.ts'
import { type Trouble, troubleOf } from './trouble.ts'

/** The time limit of an attempt until the server has stated it. */
const USUAL_TIMEOUT_SECONDS = 120

export interface OptionsState {
  /** Null until they have been read. */
  options: Options | null
  /** The message where they cannot be read because the person is not signed in. */
  signedOut: Trouble | null
  timeoutMs: number
  /** Reads them again. Resolves with whether that worked. */
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
