import { at } from '../api/request';
import type { ManifestEdit, ManifestText } from '../api/types';
import type { IHimalia } from '../tokens';

/**
 * Change himalia.toml of a project as it is now: all edits or none; comments and order stay.
 *
 * @throws RequestError with what is wrong, and where
 */
export async function editManifest(
  himalia: Pick<IHimalia, 'request'>,
  slug: string,
  edits: readonly ManifestEdit[]
): Promise<void> {
  const path = at('projects', slug, 'manifest');
  const { digest } = await himalia.request<ManifestText>('GET', path);
  await himalia.request('PATCH', path, { base_digest: digest, edits });
}
