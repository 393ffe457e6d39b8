import { type ReactNode, useEffect, useState } from 'react'
import { copy } from '../clipboard.ts'
import { Button } from './button.tsx'

interface CopyButtonProps {
  label: ReactNode
  /** What is copied, for people who cannot see the button's surroundings. */
  accessibleLabel: string
  text: () => string
  className?: string
}

const SHOWN_MS = 2_000

export const CopyButton = ({ label, accessibleLabel, text, className }: CopyButtonProps) => {
  const [outcome, setOutcome] = useState<'copied' | 'failed' | null>(null)

  const _outcome = outcome === 'copied' ? 'Copied' : 'Could not copy'

  useEffect(() => {
    if (outcome === null) {
      return undefined
    }
    const timer = setTimeout(() => setOutcome(null), SHOWN_MS)
    return () => clearTimeout(timer)
  }, [outcome])

  const handleClick = async () => setOutcome((await copy(text())) ? 'copied' : 'failed')

  return (
    <Button
      kind="quiet"
      className={className}
      aria-label={outcome === null ? accessibleLabel : _outcome}
      onClick={() => void handleClick()}
    >
      <span aria-live="polite">{outcome === null ? label : _outcome}</span>
    </Button>
  )
}
