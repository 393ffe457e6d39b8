/** Asks where the focus is, and moves it. */

/** Puts the focus on the first of a form's fields that has an error. */
export const focusFirstInvalid = (form: HTMLFormElement | null): void => {
  form?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus()
}

const TYPED_INTO = 'input:not([type="radio"], [type="checkbox"]), textarea, select, dialog[open], dialog[open] *'

/** Returns whether the person may be typing, in which case the focus must stay where it is. */
export const isTyping = (): boolean => {
  const focused = document.activeElement
  // Nothing is typed into a hidden field, such as those of the folded form.
  return focused instanceof HTMLElement && focused.matches(TYPED_INTO) && focused.offsetParent !== null
}

/** Puts the focus on a field of the request form, and brings it into view. */
export const focusField = (name: string): void => {
  const control = document.querySelector<HTMLInputElement | HTMLTextAreaElement>(`[name="${name}"]`)
  control?.focus()
  control?.scrollIntoView({ block: 'center' })
}
