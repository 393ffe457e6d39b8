/** Holds the content of the request form as text. Pure. */

import { type FeatureType, type FieldProblem, type PriorityLevel, SUGGEST_FEATURE_REQUEST_BOUNDS as BOUNDS, type SuggestFeatureRequest, type Suggestion } from './client/types.gen.ts'
import { lengthProblem } from './validation.ts'

export interface Draft {
  pageOrComponent: string
  featureType: FeatureType
  priorityLevel: PriorityLevel
  additionalContext: string
  /** The model; empty for the server's default. */
  customModel: string
}

export const EMPTY_DRAFT: Draft = {
  pageOrComponent: '',
  featureType: 'enhancement',
  priorityLevel: 'medium',
  additionalContext: '',
  customModel: '',
}

export const draftOf = (request: SuggestFeatureRequest): Draft => ({
  pageOrComponent: request.pageOrComponent,
  featureType: request.featureType,
  priorityLevel: request.priorityLevel,
  additionalContext: request.additionalContext ?? '',
  customModel: request.customModel ?? '',
})

export const requestOf = (draft: Draft): SuggestFeatureRequest => ({
  pageOrComponent: draft.pageOrComponent.trim(),
  featureType: draft.featureType,
  priorityLevel: draft.priorityLevel,
  ...(draft.additionalContext === '' ? {} : { additionalContext: draft.additionalContext }),
  ...(draft.customModel === '' ? {} : { customModel: draft.customModel }),
})

export const problemsOf = (draft: Draft): FieldProblem[] => {
  const texts = { pageOrComponent: draft.pageOrComponent.trim(), additionalContext: draft.additionalContext }
  return Object.entries(texts).flatMap(([field, text]) => {
    const message = lengthProblem(text, BOUNDS[field as keyof typeof texts])
    return message === null ? [] : [{ field, message }]
  })
}

/** Is the way in which a suggestion is developed further. */
export type Refinement = { kind: 'more' } | { kind: 'narrower' } | { kind: 'own'; words: string }

const REFINEMENT_WORDS = {
  more: 'More suggestions in the direction of this one:',
  narrower: 'Narrower: smaller first steps towards this suggestion, one by one:',
}

/** Makes a new request's context of a suggestion, cut to the allowed length. */
export const refinedContext = (suggestion: Suggestion, refinement: Refinement): string => {
  const wish = refinement.kind === 'own' ? refinement.words.trim() : REFINEMENT_WORDS[refinement.kind]
  const { title, rationale, description } = suggestion
  return cut(`${wish}\n\n${title.trim()}\n${description.trim()}\nWhy: ${rationale.trim()}`, BOUNDS.additionalContext.greatest)
}

const cut = (text: string, most: number): string => {
  const characters = [...text]
  return characters.length <= most ? text : `${characters.slice(0, most - 1).join('').trimEnd()}…`
}
