/** Holds the errors of a form's fields, found before it is sent or by the server. */

import { type RefObject, useEffect, useMemo, useRef, useState } from 'react'
import type { FieldProblem } from './client/types.gen.ts'
import { focusFirstInvalid } from './focus.ts'
import { type FieldErrors, fieldErrors } from './validation.ts'

export interface FormErrors {
  form: RefObject<HTMLFormElement | null>
  /** Sentences by field. */
  errors: FieldErrors
  /** Takes the errors of a form that is about to be sent. Returns whether it may be sent. */
  accept: (found: readonly FieldProblem[]) => boolean
  /** Hides the error of a field that was changed, until the form is checked again. */
  change: (field: string) => void
}

export const useFormErrors = (labels: Readonly<Record<string, string>>, fromServer: readonly FieldProblem[]): FormErrors => {
  const [own, setOwn] = useState<readonly FieldProblem[]>([])
  const [changed, setChanged] = useState<readonly string[]>([])
  const hasChanged = useRef(false)
  const form = useRef<HTMLFormElement>(null)

  const errors = useMemo(
    () => fieldErrors(labels, [...fromServer, ...own].filter(({ field }) => !changed.includes(field))),
    [labels, fromServer, own, changed],
  )

  useEffect(() => {
    // The focus stays where it is for a person who goes on typing while the server checks the form.
    if (fromServer.length + own.length > 0 && !hasChanged.current) {
      focusFirstInvalid(form.current)
    }
  }, [fromServer, own])

  return {
    form,
    errors,
    accept: (found) => {
      hasChanged.current = false
      setOwn(found)
      setChanged([])
      return found.length === 0
    },
    change: (field) => {
      hasChanged.current = true
      setChanged((before) => (before.includes(field) ? before : [...before, field]))
    },
  }
}
