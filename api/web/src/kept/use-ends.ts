/** Puts right the kept requests whose end this page has not seen, because it was left, reloaded, or gave up. */

import { useQuery } from '@tanstack/react-query'
import { endsOf } from './ends.ts'
import { isOver } from './record.ts'
import type { Kept } from './use-kept.ts'

/** How often the server is asked while such a request is under way and the page is visible. */
const AGAIN_MS = 5_000

/** `watchedId` is the job on the screen, whose end comes by itself. */
export const useEnds = ({ requests, keep }: Kept, watchedId: string | null): void => {
  const open = requests.filter((each) => each.jobId !== watchedId && !isOver(each.job) && each.isEndUnknown !== true)

  useQuery({
    queryKey: ['ends', open.map(({ jobId }) => jobId)],
    queryFn: async ({ signal }) => {
      for (const request of await endsOf(open, signal)) {
        keep(request)
      }
      return null
    },
    enabled: open.length > 0,
    refetchInterval: AGAIN_MS,
    refetchOnWindowFocus: 'always',
    retry: false,
    gcTime: 0,
  })
}
