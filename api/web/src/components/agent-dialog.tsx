import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef } from 'react'
import { ApiError, deleteAgent, putAgent, readAgent } from '../api.ts'
import { troubleOf } from '../trouble.ts'
import type { FieldProblem } from '../types.gen.ts'
import { AgentForm } from './agent-form.tsx'
import { Button } from './button.tsx'
import { Conditional } from './conditional.tsx'

interface AgentDialogProps {
  onClose: () => void
}

const KEY = ['suggestion-agent']
const NO_PROBLEMS: readonly FieldProblem[] = []

export const AgentDialog = ({ onClose }: AgentDialogProps) => {
  const dialog = useRef<HTMLDialogElement>(null)
  const queries = useQueryClient()

  const stored = useQuery({ queryKey: KEY, queryFn: readAgent, staleTime: 0, gcTime: 0 })
  const saving = useMutation({ mutationFn: putAgent, onSuccess: () => handleDone() })
  const deleting = useMutation({ mutationFn: deleteAgent, onSuccess: () => handleDone() })

  const _error = saving.error ?? deleting.error ?? stored.error
  const _problems = saving.error instanceof ApiError ? saving.error.errors : NO_PROBLEMS
  const _trouble = _error === null || _problems.length > 0 ? null : troubleOf(_error)

  useEffect(() => {
    dialog.current?.showModal()
  }, [])

  const handleDone = () => {
    queries.removeQueries({ queryKey: KEY })
    handleClose()
  }

  const handleClose = () => dialog.current?.close()

  return (
    <dialog
      ref={dialog}
      aria-labelledby="agent-title"
      className="m-auto max-h-[min(48rem,calc(100dvh-1.5rem))] w-[min(40rem,calc(100vw-1.5rem))] overflow-y-auto rounded-xl border border-line bg-surface p-5 text-ink shadow-xl backdrop:bg-black/50 sm:p-6"
      onClose={onClose}
    >
      {/* What this is */}
      <h2 id="agent-title" className="text-lg font-semibold">
        Your suggestion agent
      </h2>
      <p className="mt-1 mb-4 text-quiet">
        It answers your requests in place of the built-in one, from the next request on.
      </p>

      {/* What went wrong */}
      <Conditional isShown={_trouble !== null}>
        <div role="alert" className="mb-4 rounded-md bg-alarm-soft px-3 py-2">
          <strong className="text-alarm">{_trouble?.title}.</strong> {_trouble?.detail}
        </div>
      </Conditional>

      {/* The agent */}
      <Conditional isShown={stored.isPending}>
        <p role="status" className="py-8 text-quiet">
          Loading…
        </p>
      </Conditional>
      {stored.data === undefined ? (
        <Conditional isShown={!stored.isPending}>
          <Button onClick={handleClose}>Close</Button>
        </Conditional>
      ) : (
        <AgentForm
          agent={stored.data}
          isBusy={saving.isPending || deleting.isPending}
          problems={_problems}
          onSave={(body) => saving.mutate(body)}
          onDelete={() => deleting.mutate()}
          onCancel={handleClose}
        />
      )}
    </dialog>
  )
}
