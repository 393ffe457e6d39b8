/** Keeps the focus on the page when the control that has it goes away: whoever uses the keyboard stays where they were. */

import { useEffect } from 'react'

const TAKES_FOCUS = '[tabindex="-1"]'

export const useLostFocus = (): void => {
  useEffect(() => {
    let focused: Element | null = null
    /** What holds the focused control and can have the focus itself, the nearest first. */
    let holders: HTMLElement[] = []

    const handleFocus = ({ target }: FocusEvent): void => {
      focused = target instanceof Element ? target : null
      holders = holdersOf(focused)
    }
    const observer = new MutationObserver(() => {
      if (focused !== null && !focused.isConnected && document.activeElement === document.body) {
        focused = null
        holders.find(({ isConnected }) => isConnected)?.focus({ preventScroll: true })
      }
    })
    document.addEventListener('focusin', handleFocus)
    observer.observe(document.body, { subtree: true, childList: true })
    return () => {
      document.removeEventListener('focusin', handleFocus)
      observer.disconnect()
    }
  }, [])
}

const holdersOf = (element: Element | null): HTMLElement[] => {
  const holder = element?.parentElement?.closest<HTMLElement>(TAKES_FOCUS) ?? null
  return holder === null ? [] : [holder, ...holdersOf(holder)]
}
