import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useRef } from 'react'
import { agentDraftOf, type AgentDraft } from '../agent-draft.ts'
import { ApiError } from '../client/api-error.ts'
import { deleteAgent, putAgent, readAgent } from '../client/api.ts'
import type { FieldProblem } from '../client/types.gen.ts'
import { remember, remembered } from '../storage.ts'
import { troubleOf } from '../trouble.ts'
import { AGENT_DRAFT, AgentForm } from './agent-form.tsx'
import { Button } from './button.tsx'
import { Conditional } from './conditional.tsx'
import { Dialog } from './dialog.tsx'
import { SignInLink } from './sign-in-link.tsx'

interface AgentDialogProps {
  onClose: () => void
  /** Is called after a change, with a sentence about it. */
  onDone: (notice: string) => void
}

const KEY = ['suggestion-agent']
const NO_PROBLEMS: readonly FieldProblem[] = []

export const AgentDialog = ({ onClose, onDone }: AgentDialogProps) => {
  const dialog = useRef<HTMLDialogElement>(null)
  const queries = useQueryClient()

  const stored = useQuery({ queryKey: KEY, queryFn: readAgent, staleTime: 0, gcTime: 0 })
  const saving = useMutation({
    mutationFn: putAgent,
    onSuccess: ({ name, isActive }) =>
      handleDone(isActive ? `Saved. ${name} answers your next request.` : 'Saved. It is not in use.'),
  })
  const deleting = useMutation({ mutationFn: deleteAgent, onSuccess: () => handleDone('Deleted.') })

  const _error = saving.error ?? deleting.error ?? stored.error
  const _problems = saving.error instanceof ApiError ? saving.error.errors : NO_PROBLEMS
  const _trouble = _error === null || _problems.length > 0 ? null : troubleOf(_error)

  const handleClose = () => dialog.current?.close()

  const handleDone = (notice: string) => {
    remember(AGENT_DRAFT, null)
    queries.removeQueries({ queryKey: KEY })
    void queries.invalidateQueries({ queryKey: ['options'] })
    onDone(notice)
    handleClose()
  }

  return (
    <Dialog dialog={dialog} title="Your suggestion agent" className="w-[min(42rem,calc(100vw-1.5rem))]" onClose={onClose}>
      <p className="mb-4 text-quiet">
        It answers your requests in place of the built-in one, from the next request on.
      </p>

      {/* What went wrong */}
      <Conditional when={_trouble}>
        {({ kind, title, detail, signInUrl }) => (
          <div role="alert" className="mb-4 rounded-md bg-alarm-soft px-3 py-2">
            <strong className="text-alarm">{title}.</strong> {detail}
            <Conditional when={kind === 'signed-out'}>
              <p className="mt-2">
                <SignInLink address={signInUrl} />
              </p>
            </Conditional>
          </div>
        )}
      </Conditional>

      {/* The agent */}
      <Conditional when={stored.isPending}>
        <p role="status" className="py-8 text-quiet">
          Loading…
        </p>
      </Conditional>
      <Conditional when={stored.isError}>
        <Button onClick={handleClose}>Close</Button>
      </Conditional>
      <Conditional when={stored.data !== undefined}>
        <AgentForm
          agent={stored.data ?? null}
          start={(remembered(AGENT_DRAFT) as AgentDraft | null) ?? agentDraftOf(stored.data ?? null)}
          isBusy={saving.isPending || deleting.isPending}
          problems={_problems}
          onSave={(body) => saving.mutate(body)}
          onDelete={() => deleting.mutate()}
          onCancel={handleClose}
        />
      </Conditional>
    </Dialog>
  )
}
