import type { SuggestedFile } from '../client/types.gen.ts'
import { cn } from '../cn.ts'
import { fileUrl } from '../repository.ts'
import { Conditional } from './conditional.tsx'
import { Prose } from './prose.tsx'

interface SuggestionFilesProps {
  files: readonly SuggestedFile[]
  repositoryUrl: string | null
}

export const SuggestionFiles = ({ files, repositoryUrl }: SuggestionFilesProps) => (
  <Conditional when={files.length > 0}>
    <h4 className="mt-3 text-sm font-semibold">Files</h4>
    <ul className="mt-1.5 grid max-w-[76ch] gap-1.5 text-sm">
      {files.map(({ path, why }) => (
        <li key={path} className="wrap-anywhere">
          <FilePath path={path} url={fileUrl(repositoryUrl, path)} />
          <span className="text-quiet">
            {' '}
            <Prose text={why} />
          </span>
        </li>
      ))}
    </ul>
  </Conditional>
)

const CHIP = 'rounded-md border border-line bg-sunken px-1.5 py-0.5 font-mono text-[0.9em] box-decoration-clone'

const FilePath = ({ path, url }: { path: string; url: string | null }) =>
  url === null ? (
    <code className={CHIP}>{path}</code>
  ) : (
    <a href={url} target="_blank" rel="noreferrer" className={cn(CHIP, 'text-accent hover:border-accent print:text-ink')}>
      {path}
    </a>
  )
