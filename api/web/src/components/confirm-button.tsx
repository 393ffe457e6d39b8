import { useState } from 'react'
import { Button } from './button.tsx'

interface ConfirmButtonProps {
  label: string
  /** Asked before anything is done. */
  question: string
  isDisabled?: boolean
  className?: string
  onConfirm: () => void
}

/** For what cannot be undone: asks once, in place. */
export const ConfirmButton = ({ label, question, isDisabled = false, className, onConfirm }: ConfirmButtonProps) => {
  const [isAsking, setIsAsking] = useState(false)
  /** Whether the question has been answered with no: then the focus comes back to the button. */
  const [isKept, setIsKept] = useState(false)

  const handleKeep = () => {
    setIsAsking(false)
    setIsKept(true)
  }

  const handleConfirm = () => {
    setIsAsking(false)
    onConfirm()
  }

  if (!isAsking) {
    return (
      <Button
        kind="quiet"
        className={`text-alarm ${className ?? ''}`}
        // oxlint-disable-next-line jsx-a11y/no-autofocus -- it stands where the button was that had the focus
        autoFocus={isKept}
        disabled={isDisabled}
        onClick={() => setIsAsking(true)}
      >
        {label}
      </Button>
    )
  }
  return (
    <span role="group" aria-label={question} className="mt-1 flex flex-wrap items-center gap-2">
      <span className="text-sm">{question}</span>
      {/* oxlint-disable-next-line jsx-a11y/no-autofocus -- it stands where the button was that had the focus */}
      <Button autoFocus onClick={handleKeep}>
        Keep
      </Button>
      <Button kind="danger" disabled={isDisabled} onClick={handleConfirm}>
        Delete
      </Button>
    </span>
  )
}
