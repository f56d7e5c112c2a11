import { servicePlugin } from './service';

/** One plugin a room; each can be disabled on its own. */
export default [servicePlugin];
