import { type ReactNode, type RefObject, useEffect } from 'react'
import { cn } from '../cn.ts'
import { Button } from './button.tsx'

interface DialogProps {
  /** Closing it by its own method gives the focus back to where it was. */
  dialog: RefObject<HTMLDialogElement | null>
  title: string
  className?: string
  onClose: () => void
  children: ReactNode
}

export const Dialog = ({ dialog, title, className, onClose, children }: DialogProps) => {
  useEffect(() => {
    dialog.current?.showModal()
    // Not on its first button: the title is read aloud, and the arrow keys scroll.
    dialog.current?.focus()
  }, [dialog])

  return (
    <dialog
      ref={dialog}
      tabIndex={-1}
      aria-labelledby="dialog-title"
      className={cn(
        'm-auto max-h-[calc(100dvh-1.5rem)] scroll-pt-16 overflow-y-auto rounded-xl border border-line bg-surface px-4 pb-4 text-ink shadow-xl backdrop:bg-black/50 sm:px-6 sm:pb-6',
        className,
      )}
      onClose={onClose}
    >
      {/* Title and button, which stay while the rest scrolls below them */}
      <div className="sticky top-0 z-10 -mx-4 flex items-start justify-between gap-3 bg-surface px-4 pt-4 pb-2 sm:-mx-6 sm:px-6 sm:pt-6">
        <h2 id="dialog-title" className="text-lg font-semibold">
          {title}
        </h2>
        <Button kind="quiet" className="-mt-1 -mr-2 text-xl leading-none" aria-label="Close" onClick={() => dialog.current?.close()}>
          ×
        </Button>
      </div>
      {children}
    </dialog>
  )
}
