/** Provides the list of kept requests, the same in all parts of the page. */

import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useCallback, useMemo } from 'react'
import type { KeptRequest } from './record.ts'
import { forget, forgetAll, keep, listKept } from './store.ts'

const KEY = ['kept']
const NONE: readonly KeptRequest[] = []

export interface Kept {
  requests: readonly KeptRequest[]
  keep: (record: KeptRequest) => void
  forget: (jobId: string) => void
  forgetAll: () => void
}

export const useKept = (): Kept => {
  const queries = useQueryClient()
  // Another tab may have added requests.
  const { data = NONE } = useQuery({ queryKey: KEY, queryFn: listKept, refetchOnWindowFocus: 'always' })

  const after = useCallback(
    (change: Promise<void>) => void change.then(() => queries.invalidateQueries({ queryKey: KEY })),
    [queries],
  )

  return useMemo(
    () => ({
      requests: data,
      keep: (record) => after(keep(record)),
      forget: (jobId) => after(forget(jobId)),
      forgetAll: () => after(forgetAll()),
    }),
    [data, after],
  )
}
