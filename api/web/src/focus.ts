/** Where the focus is, and where it goes. */

/** Puts the focus on the first of a form's fields that has an error. */
export const focusFirstInvalid = (form: HTMLFormElement | null): void => {
  form?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus()
}

const TYPED_INTO = 'input:not([type="radio"], [type="checkbox"]), textarea, select, dialog[open] *'

/** Whether somebody may be typing: then the focus stays where it is. */
export const isTyping = (): boolean => {
  const focused = document.activeElement
  // A field that is hidden, as the folded form's are, is not typed into.
  return focused instanceof HTMLElement && focused.matches(TYPED_INTO) && focused.offsetParent !== null
}

/** Puts the focus on a field of the request form, and brings it into view. */
export const focusField = (name: string): void => {
  const control = document.querySelector<HTMLInputElement | HTMLTextAreaElement>(`[name="${name}"]`)
  control?.focus()
  control?.scrollIntoView({ block: 'center' })
}
