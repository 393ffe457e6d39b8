/** Shows a short message about what was just done, for a moment. */

import { useEffect, useState } from 'react'

const NOTICE_MS = 6_000

export const useNotice = (): [string | null, (notice: string) => void] => {
  const [notice, setNotice] = useState<string | null>(null)

  useEffect(() => {
    if (notice === null) {
      return undefined
    }
    const timer = setTimeout(() => setNotice(null), NOTICE_MS)
    return () => clearTimeout(timer)
  }, [notice])

  return [notice, setNotice]
}
