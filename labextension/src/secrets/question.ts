import type { Secret } from '../api/types';
import type { IQuestion } from '../tokens';

/** The project's secrets, without their values. */
export const SECRETS: IQuestion = { path: 'secrets', topics: ['secret.'] };

/** The answer to it. */
export interface ISecretList {
  items: Secret[];
}
