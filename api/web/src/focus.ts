/** Puts the focus on the first of a form's fields that has an error. */
export const focusFirstInvalid = (form: HTMLFormElement | null): void => {
  form?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus()
}
