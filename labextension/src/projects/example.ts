/** The project that the example makes, and the template that it is made from. */
export const EXAMPLE = 'nyc-flights';

/** The guide that begins with nothing, by the name of its notebook. */
export const FIRST_GUIDE = 'from-nothing-to-a-deployed-model';

/** The guide of projects and kernels. */
export const PROJECTS_GUIDE = 'many-projects-side-by-side';

/** The guide of pipelines and schedules. */
export const PIPELINES_GUIDE = 'notebooks-as-a-pipeline';
